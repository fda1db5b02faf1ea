/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a server owes: for each key of a load what it must hold by now, kept in a log that is
 * written before an operation is sent and after it was answered, so that it outlives the server.
 *
 *   line: STAGE OP KEY VERSION SIZE
 *     b   an operation begins: from now on the key holds the old value or the new one
 *     d   it was acknowledged: the new one
 *     f   it was refused without effect: the old one
 *     s   a reader found out which of the two it was
 *   OP: p put, d delete (VERSION and SIZE are then 0)
 *
 * Invariants
 *  I1  A version of a key is used once, so that every value that ever was is different.
 *  I2  Lines are written whole with one write each time; threads append to one file.
 *
 * Not responsible for: talking to the server (load_client.c).
 */
#ifndef MKV_TESTS_INTEGRATION_LOAD_LOG_H
#define MKV_TESTS_INTEGRATION_LOAD_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOAD_KEYS_MAX 4096u
#define LOAD_LINE_BYTES_MAX 64u

struct load_value {
    bool present;
    uint32_t version;
    uint32_t size;
};

struct load_key {
    struct load_value value;   /* acknowledged */
    struct load_value pending; /* where is_pending: what it may hold instead */
    bool is_pending;
    uint32_t version_high; /* the highest that was ever begun */
};

struct load_log {
    int fd;
    struct load_key keys[LOAD_KEYS_MAX];
};

enum load_stage {
    LOAD_BEGIN = 'b',
    LOAD_DONE = 'd',
    LOAD_REFUSED = 'f',
    LOAD_SETTLED = 's',
};

/* Reads what the log says so far, and opens it to append; ends the program when it cannot. */
void load_log_open(struct load_log *log, const char *path);

/* A stage of an operation that ends in `value`: the key's state follows, and the line is added to
 * `text`, which has room for LOAD_LINE_BYTES_MAX more; returns the bytes added. */
size_t load_log_note(struct load_log *log, enum load_stage stage, uint32_t key,
                     struct load_value value, char *text);
void load_log_write(struct load_log *log, const char *text, size_t byte_count);

/* The bytes of a value, and whether these are its bytes. */
void load_value_fill(uint32_t key, struct load_value value, uint8_t *bytes);
bool load_value_is(uint32_t key, struct load_value value, const uint8_t *bytes,
                   uint64_t byte_count);

#endif
