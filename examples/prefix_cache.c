/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A prefix cache on libmemkv, as an inference engine would have one: a conversation's blocks are
 * looked up, those that are there are loaded, the others are computed and stored, all with many
 * calls in flight from one thread.
 *
 *   cc -o prefix_cache prefix_cache.c -lmemkv
 *   MEMKV_SERVERS=127.0.0.1:9900 ./prefix_cache CONVERSATION BLOCKS
 *
 * Run it twice: the first run computes all blocks, the second loads them.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <memkv.h>

#define BLOCK_BYTES (1024u * 1024u)
#define BLOCKS_MAX 1024u
#define COMPLETIONS_MAX 32u

/* Stands for what the engine would compute. */
static void compute(uint8_t *block, uint64_t seed) {
    for (size_t index = 0; index < BLOCK_BYTES; index += 8) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        memcpy(block + index, &seed, 8);
    }
}

/* A call that cannot even begin is a block to compute, too. */
static void submit(struct memkv_client *client, struct memkv_item *item, uint64_t cookie) {
    struct memkv_error error;
    if (memkv_submit(client, item, 1, cookie, 0, &error) != MEMKV_OK) {
        fprintf(stderr, "block %llu: %s\n", (unsigned long long)cookie, error.text);
        item->status = error.status;
    }
}

/* Takes completions until nothing is in flight; says how many came to what was wanted. */
static size_t finish(struct memkv_client *client) {
    size_t done_count = 0;
    while (memkv_in_flight(client) > 0) {
        struct memkv_completion completions[COMPLETIONS_MAX];
        const size_t count = memkv_wait(client, completions, COMPLETIONS_MAX, 1000);
        for (size_t index = 0; index < count; index++) {
            if (completions[index].error.status == MEMKV_OK) {
                done_count++;
            } else {
                /* A block that cannot be loaded or stored is one to compute, not an error. */
                fprintf(stderr, "block %llu: %s\n", (unsigned long long)completions[index].cookie,
                        completions[index].error.text);
            }
        }
    }
    return done_count;
}

int main(int argc, char **argv) {
    const size_t block_count = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
    if (block_count < 1 || block_count > BLOCKS_MAX) {
        fprintf(stderr, "usage: prefix_cache CONVERSATION BLOCKS (1 to %u)\n", BLOCKS_MAX);
        return 2;
    }
    struct memkv_client *client;
    struct memkv_error error;
    if (memkv_open(NULL, &client, &error) != MEMKV_OK) {
        fprintf(stderr, "%s\n", error.text);
        return 1;
    }

    /* Real keys are hashes of the tokens up to and with the block. */
    static char names[BLOCKS_MAX][128];
    static struct memkv_key keys[BLOCKS_MAX];
    static struct memkv_item items[BLOCKS_MAX];
    uint8_t *blocks = malloc(block_count * BLOCK_BYTES);
    if (blocks == NULL) {
        return 1;
    }
    for (size_t index = 0; index < block_count; index++) {
        const int bytes = snprintf(names[index], sizeof names[index], "%.100s/%zu", argv[1], index);
        keys[index] = (struct memkv_key){names[index], (size_t)bytes};
    }

    size_t resident = 0;
    if (memkv_lookup(client, keys, block_count, &resident, &error) != MEMKV_OK) {
        fprintf(stderr, "%s\n", error.text); /* then nothing is resident */
    }
    for (size_t index = 0; index < resident; index++) {
        items[index] = (struct memkv_item){.op = MEMKV_OP_GET,
                                           .key = keys[index].bytes,
                                           .key_bytes = keys[index].byte_count,
                                           .buffer = blocks + index * BLOCK_BYTES,
                                           .capacity = BLOCK_BYTES};
        submit(client, &items[index], index);
    }
    const size_t loaded = finish(client);

    size_t computed = 0;
    for (size_t index = 0; index < block_count; index++) {
        if (index < resident && items[index].status == MEMKV_OK) {
            continue;
        }
        compute(blocks + index * BLOCK_BYTES, index);
        computed++;
        /* Relaxed: the answer need not wait for the drive; a crash costs a block, no more. */
        items[index] = (struct memkv_item){.op = MEMKV_OP_PUT,
                                           .flags = MEMKV_RELAXED,
                                           .key = keys[index].bytes,
                                           .key_bytes = keys[index].byte_count,
                                           .data = blocks + index * BLOCK_BYTES,
                                           .data_bytes = BLOCK_BYTES};
        submit(client, &items[index], index);
    }
    const size_t stored = finish(client);
    printf("%zu blocks: %zu resident, %zu loaded, %zu computed, %zu stored\n", block_count,
           resident, loaded, computed, stored);
    free(blocks);
    memkv_close(client);
    return 0;
}
