/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reserves and commits through libmemkv, and checks every answer.
 *
 *   reserve_client SERVER use     the ways of a reservation, one after another
 *   reserve_client SERVER hold    leaves "held/committed" stored and "held/open" reserved, prints
 *                                 "holding", and waits until standard input ends
 *   reserve_client SERVER after   what is there when the server was killed meanwhile
 *
 * Exit status: 0 as it should be, 1 it was not (a line on standard error says where).
 *
 * Not responsible for: starting or killing the server.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/memkv.h"

#define LARGE (1024u * 1024u + 5u)

static void expect(bool holds, const char *what, int line) {
    if (!holds) {
        fprintf(stderr, "reserve_client.c:%d: %s\n", line, what);
        exit(1);
    }
}
#define EXPECT(condition) expect((condition), #condition, __LINE__)

static struct memkv_client *client_open(const char *server) {
    const struct memkv_options options = {.servers = server, .client_name = "reserve_client"};
    struct memkv_client *client = NULL;
    struct memkv_error error;
    if (memkv_open(&options, &client, &error) != MEMKV_OK) {
        fprintf(stderr, "%s\n", error.text);
        exit(1);
    }
    return client;
}

static char *value_make(char fill, size_t bytes) {
    char *value = malloc(bytes + 1);
    EXPECT(value != NULL);
    memset(value, fill, bytes);
    return value;
}

static struct memkv_item item_of(enum memkv_op op, const char *key, const char *value,
                                 size_t bytes) {
    return (struct memkv_item){
        .op = op, .key = key, .key_bytes = strlen(key), .data = value, .data_bytes = bytes};
}

static uint64_t allocate(struct memkv_client *client, const char *key, const char *value,
                         size_t bytes, uint32_t reserve_ms) {
    struct memkv_item item = item_of(MEMKV_OP_ALLOCATE, key, value, bytes);
    item.reserve_ms = reserve_ms;
    EXPECT(memkv_batch(client, &item, 1, NULL) == MEMKV_OK);
    return item.reservation;
}

static enum memkv_status commit(struct memkv_client *client, uint64_t reservation,
                                const char *value, size_t bytes, uint32_t flags) {
    struct memkv_item item = {.op = MEMKV_OP_COMMIT,
                              .flags = flags,
                              .data = value,
                              .data_bytes = bytes,
                              .reservation = reservation};
    return memkv_batch(client, &item, 1, NULL);
}

static bool has(struct memkv_client *client, const char *key, const char *value, size_t bytes) {
    char *buffer = malloc(bytes + 1);
    EXPECT(buffer != NULL);
    uint64_t count = 0;
    const enum memkv_status status =
        memkv_get(client, key, strlen(key), buffer, bytes, &count, NULL);
    EXPECT(status == MEMKV_OK || status == MEMKV_NOT_FOUND);
    const bool same = status == MEMKV_OK && count == bytes && memcmp(buffer, value, bytes) == 0;
    EXPECT(same || status == MEMKV_NOT_FOUND);
    free(buffer);
    return same;
}

/* Small and large ones, and one that is there, in one batch each. */
static void use_batch(struct memkv_client *client) {
    static const size_t bytes[] = {0, 10, 3000, LARGE, LARGE, 60000};
    char *values[6];
    char keys[6][8];
    struct memkv_item items[6];
    EXPECT(memkv_put(client, "batch5", 6, values[5] = value_make('5', bytes[5]), bytes[5], 0,
                     NULL) == MEMKV_OK);
    for (int index = 0; index < 6; index++) {
        values[index] = index == 5 ? values[5] : value_make((char)('0' + index), bytes[index]);
        snprintf(keys[index], sizeof keys[index], "batch%d", index);
        items[index] = item_of(MEMKV_OP_ALLOCATE, keys[index], values[index], bytes[index]);
    }
    EXPECT(memkv_batch(client, items, 6, NULL) == MEMKV_OK);
    for (int index = 0; index < 6; index++) {
        EXPECT((items[index].reservation != 0) == (index != 5));
        EXPECT(has(client, keys[index], values[index], bytes[index]) == (index == 5));
        items[index].op = MEMKV_OP_COMMIT;
    }
    items[2].flags = MEMKV_ABANDON;
    EXPECT(memkv_batch(client, items, 5, NULL) == MEMKV_OK);
    for (int index = 0; index < 6; index++) {
        EXPECT(has(client, keys[index], values[index], bytes[index]) == (index != 2));
    }
    EXPECT(memkv_batch(client, items, 1, NULL) == MEMKV_NOT_FOUND); /* committed already */
    for (int index = 0; index < 6; index++) {
        free(values[index]);
    }
}

static void use_ends(struct memkv_client *client, const char *server) {
    char *value = value_make('e', LARGE);
    const uint64_t brief = allocate(client, "brief", value, LARGE, 200);
    EXPECT(brief != 0);
    const struct timespec pause = {.tv_sec = 0, .tv_nsec = 400 * 1000 * 1000};
    (void)nanosleep(&pause, NULL);
    EXPECT(commit(client, brief, value, LARGE, 0) == MEMKV_NOT_FOUND);
    EXPECT(!has(client, "brief", value, LARGE));

    /* Another connection neither sees a reservation nor waits for it for ever, and what it holds
     * goes with it. */
    struct memkv_client *other = client_open(server);
    const uint64_t theirs = allocate(other, "contended", value, LARGE, 60000);
    EXPECT(theirs != 0);
    EXPECT(commit(client, theirs, value, LARGE, 0) == MEMKV_NOT_FOUND);
    EXPECT(memkv_put(client, "contended", 9, "mine", 4, 0, NULL) == MEMKV_OK);
    EXPECT(commit(other, theirs, value, LARGE, 0) == MEMKV_CONFLICT);
    EXPECT(has(client, "contended", "mine", 4));
    EXPECT(allocate(other, "left", value, LARGE, 60000) != 0);
    memkv_close(other);
    EXPECT(memkv_put(client, "left", 4, "mine", 4, 0, NULL) == MEMKV_OK);

    struct memkv_item conflict = item_of(MEMKV_OP_ALLOCATE, "left", value, LARGE);
    EXPECT(memkv_batch(client, &conflict, 1, NULL) == MEMKV_CONFLICT);
    conflict.flags = MEMKV_REPLACE;
    EXPECT(memkv_batch(client, &conflict, 1, NULL) == MEMKV_OK);
    EXPECT(has(client, "left", "mine", 4)); /* until the commit */
    EXPECT(commit(client, conflict.reservation, value, LARGE, 0) == MEMKV_OK);
    EXPECT(has(client, "left", value, LARGE));

    /* Other bytes than were promised. */
    const uint64_t promised = allocate(client, "promised", value, LARGE, 0);
    value[7] = '7';
    EXPECT(commit(client, promised, value, LARGE - 1, 0) == MEMKV_INVALID);
    EXPECT(commit(client, promised, value, LARGE, 0) == MEMKV_INVALID);
    EXPECT(commit(client, promised, value, LARGE, 0) == MEMKV_NOT_FOUND);
    EXPECT(!has(client, "promised", value, LARGE));

    struct memkv_item wrong = {.op = MEMKV_OP_COMMIT};
    EXPECT(memkv_batch(client, &wrong, 1, NULL) == MEMKV_INVALID);
    wrong = item_of(MEMKV_OP_ALLOCATE, "k", value, SIZE_MAX);
    EXPECT(memkv_batch(client, &wrong, 1, NULL) == MEMKV_INVALID);
    free(value);
}

int main(int argc, char **argv) {
    EXPECT(argc == 3);
    struct memkv_client *client = client_open(argv[1]);
    char *value = value_make('h', LARGE);
    if (strcmp(argv[2], "use") == 0) {
        use_batch(client);
        use_ends(client, argv[1]);
    } else if (strcmp(argv[2], "hold") == 0) {
        const uint64_t first = allocate(client, "held/committed", value, LARGE, 60000);
        EXPECT(allocate(client, "held/open", value, LARGE, 60000) != 0);
        EXPECT(commit(client, first, value, LARGE, 0) == MEMKV_OK);
        puts("holding");
        (void)fflush(stdout);
        while (getchar() != EOF) {
        }
    } else {
        EXPECT(strcmp(argv[2], "after") == 0);
        EXPECT(has(client, "held/committed", value, LARGE));
        EXPECT(!has(client, "held/open", value, LARGE));
        EXPECT(commit(client, allocate(client, "held/open", value, LARGE, 0), value, LARGE, 0) ==
               MEMKV_OK);
    }
    free(value);
    memkv_close(client);
    return 0;
}
