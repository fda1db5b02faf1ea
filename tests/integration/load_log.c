/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/integration/load_log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

_Noreturn static void fail(const char *path, const char *what) {
    fprintf(stderr, "load_client: %s: %s\n", path, what);
    exit(2);
}

/* What a line means for its key. False: the line does not follow from those before it. */
static bool apply(struct load_key *state, char stage, struct load_value value) {
    switch (stage) {
    case LOAD_BEGIN:
        if (state->is_pending || (value.present && value.version <= state->version_high)) {
            return false;
        }
        state->is_pending = true;
        state->pending = value;
        if (value.present) {
            state->version_high = value.version;
        }
        return true;
    case LOAD_DONE:
    case LOAD_REFUSED:
        if (!state->is_pending) {
            return false;
        }
        state->is_pending = false;
        if (stage == LOAD_DONE) {
            state->value = state->pending;
        }
        return true;
    case LOAD_SETTLED:
        state->is_pending = false;
        state->value = value;
        return true;
    default:
        return false;
    }
}

void load_log_open(struct load_log *log, const char *path) {
    memset(log, 0, sizeof *log);
    log->fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log->fd < 0) {
        fail(path, strerror(errno));
    }
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        fail(path, strerror(errno));
    }
    char stage;
    char op;
    uint32_t key;
    struct load_value value;
    int count;
    while ((count = fscanf(file, " %c %c %" SCNu32 " %" SCNu32 " %" SCNu32, &stage, &op, &key,
                           &value.version, &value.size)) == 5) {
        value.present = op == 'p';
        if (key >= LOAD_KEYS_MAX || !apply(&log->keys[key], stage, value)) {
            fail(path, "a line does not follow from those before it");
        }
    }
    if (count != EOF) {
        fail(path, "a line cannot be read");
    }
    fclose(file);
}

size_t load_log_note(struct load_log *log, enum load_stage stage, uint32_t key,
                     struct load_value value, char *text) {
    if (key >= LOAD_KEYS_MAX || !apply(&log->keys[key], (char)stage, value)) {
        fail("the log", "an operation does not follow from those before it");
    }
    const int length =
        snprintf(text, LOAD_LINE_BYTES_MAX, "%c %c %" PRIu32 " %" PRIu32 " %" PRIu32 "\n",
                 (char)stage, value.present ? 'p' : 'd', key, value.version, value.size);
    return (size_t)length;
}

void load_log_write(struct load_log *log, const char *text, size_t byte_count) {
    if (byte_count > 0 && write(log->fd, text, byte_count) != (ssize_t)byte_count) {
        fail("the log", "it cannot be written");
    }
}

/* ---- values --------------------------------------------------------------------------------- */

/* splitmix64 (Steele, Lea, Flood 2014) of a counter that starts elsewhere for every value. */
static uint64_t word_of(uint64_t start, uint64_t index) {
    uint64_t word = start + index * 0x9e3779b97f4a7c15ull;
    word = (word ^ (word >> 30)) * 0xbf58476d1ce4e5b9ull;
    word = (word ^ (word >> 27)) * 0x94d049bb133111ebull;
    return word ^ (word >> 31);
}

static uint64_t start_of(uint32_t key, struct load_value value) {
    return word_of(((uint64_t)key << 32) | value.version, 1);
}

void load_value_fill(uint32_t key, struct load_value value, uint8_t *bytes) {
    const uint64_t start = start_of(key, value);
    for (uint32_t at = 0; at < value.size; at += 8) {
        const uint64_t word = word_of(start, at / 8 + 1);
        const size_t left = value.size - at;
        memcpy(bytes + at, &word, left < 8 ? left : 8);
    }
}

bool load_value_is(uint32_t key, struct load_value value, const uint8_t *bytes,
                   uint64_t byte_count) {
    if (!value.present || byte_count != value.size) {
        return false;
    }
    const uint64_t start = start_of(key, value);
    for (uint32_t at = 0; at < value.size; at += 8) {
        const uint64_t word = word_of(start, at / 8 + 1);
        const size_t left = value.size - at;
        if (memcmp(bytes + at, &word, left < 8 ? left : 8) != 0) {
            return false;
        }
    }
    return true;
}
