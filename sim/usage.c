/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/usage.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int mkv_usage_error(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("memkv-sim: ", stderr);
    vfprintf(stderr, format, arguments);
    fputs("; see memkv-sim --help\n", stderr);
    va_end(arguments);
    return EXIT_USAGE;
}

bool mkv_usage_number(const char *text, uint64_t low, uint64_t high, uint64_t *value) {
    if (text[0] < '0' || text[0] > '9') {
        return false; /* strtoull takes signs and spaces */
    }
    const int base = strncmp(text, "0x", 2) == 0 ? 16 : 10;
    char *end = NULL;
    errno = 0;
    *value = strtoull(text, &end, base);
    return errno == 0 && *end == 0 && *value >= low && *value <= high;
}
