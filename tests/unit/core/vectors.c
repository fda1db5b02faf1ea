/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/core/vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LINE_BYTES 16u
#define TEXT_BYTES_MAX 256
#define VECTOR_BYTES_MAX 4096u

FILE *vectors_open(const char *path) {
    const char *root = getenv("MKV_SOURCE_DIR");
    char full[1024];
    const int length = snprintf(full, sizeof full, "%s/%s", root != NULL ? root : ".", path);
    if (length < 0 || (size_t)length >= sizeof full) {
        fail_msg("The path of the source tree is too long to read %s.", path);
    }
    FILE *file = fopen(full, "r");
    if (file == NULL) {
        fail_msg("Cannot open %s. Set MKV_SOURCE_DIR to the root of the source tree.", full);
    }
    return file;
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return -1;
}

size_t vectors_parse_hex(const char *text, uint8_t *target, size_t target_bytes) {
    if (strcmp(text, "-") == 0) {
        return 0;
    }
    size_t count = 0;
    for (const char *at = text; *at != '\0'; at += 2) {
        const int high = hex_digit(at[0]);
        const int low = high < 0 ? -1 : hex_digit(at[1]);
        if (low < 0 || count == target_bytes) {
            fail_msg("\"%s\" is not lower-case hex of at most %zu bytes.", text, target_bytes);
        }
        target[count++] = (uint8_t)(high * 16 + low);
    }
    return count;
}

/* One line of a vector: the offset, then bytes parted by single spaces. */
static void load_line(const char *line, uint8_t *target, size_t byte_count) {
    unsigned offset = 0;
    int used = 0;
    if (sscanf(line, "%4x%n", &offset, &used) != 1 || used != 4) {
        fail_msg("A vector's line begins with four hex digits, not \"%s\".", line);
    }
    const char *at = line + used;
    size_t index = offset;
    while (at[0] == ' ') {
        at += strspn(at, " ");
        const int high = hex_digit(at[0]);
        const int low = high < 0 ? -1 : hex_digit(at[1]);
        if (low < 0 || index >= byte_count || index >= offset + LINE_BYTES) {
            fail_msg("The vector's line \"%s\" is malformed or too long.", line);
        }
        target[index++] = (uint8_t)(high * 16 + low);
        at += 2;
    }
    if (at[0] != '\n') {
        fail_msg("The vector's line \"%s\" ends with something that is no byte.", line);
    }
}

void vectors_load(const char *path, const char *name, uint8_t *target, size_t byte_count) {
    FILE *file = vectors_open(path);
    char head[TEXT_BYTES_MAX];
    char line[TEXT_BYTES_MAX];
    snprintf(head, sizeof head, "```hex %s %zu\n", name, byte_count);
    memset(target, 0, byte_count);
    bool found = false;
    while (!found && fgets(line, sizeof line, file) != NULL) {
        found = strcmp(line, head) == 0;
    }
    bool closed = false;
    while (found && !closed && fgets(line, sizeof line, file) != NULL) {
        closed = strncmp(line, "```", 3) == 0;
        if (!closed) {
            load_line(line, target, byte_count);
        }
    }
    fclose(file);
    if (!closed) {
        fail_msg("%s has no whole block \"hex %s %zu\".", path, name, byte_count);
    }
}

static void print_vector(const char *name, const uint8_t *bytes, size_t byte_count) {
    static const uint8_t zeros[LINE_BYTES] = {0};
    print_error("```hex %s %zu\n", name, byte_count);
    for (size_t offset = 0; offset < byte_count; offset += LINE_BYTES) {
        const size_t left = byte_count - offset;
        const size_t count = left < LINE_BYTES ? left : LINE_BYTES;
        if (memcmp(bytes + offset, zeros, count) == 0) {
            continue;
        }
        char text[4 + 1 + LINE_BYTES * 3 + 1];
        int used = snprintf(text, sizeof text, "%04zx ", offset);
        for (size_t index = 0; index < count; index++) {
            used +=
                snprintf(text + used, sizeof text - (size_t)used, " %02x", bytes[offset + index]);
        }
        print_error("%s\n", text);
    }
    print_error("```\n");
}

void vectors_check(const char *path, const char *name, const uint8_t *bytes, size_t byte_count) {
    uint8_t expected[VECTOR_BYTES_MAX];
    assert_true(byte_count <= sizeof expected);
    vectors_load(path, name, expected, byte_count);
    if (memcmp(bytes, expected, byte_count) != 0) {
        print_error("%s, vector %s: the encoder writes\n", path, name);
        print_vector(name, bytes, byte_count);
        assert_memory_equal(bytes, expected, byte_count);
    }
}
